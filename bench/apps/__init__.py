"""The programs that are measured: the same small service, written in three ways."""
