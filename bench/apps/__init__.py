"""The programs that are measured: small services, written with Windlass and with its peers."""
