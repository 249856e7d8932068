"""A system with two user pools: a command must be told which one is meant."""

from windlass import System

twin_pools = System("twin_pools")

guests = twin_pools.user_pool("guests")
hosts = twin_pools.user_pool("hosts", sign_in="username")
