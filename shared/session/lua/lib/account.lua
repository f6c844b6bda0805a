-- The next keys of every script that changes an account, or many of its
-- sessions.
--
-- KEYS[6]  the reply cache of this change, see lib/reply_cache.lua
-- KEYS[7]  the account's no-ops, see lib/noop.lua
-- KEYS[8]  the partition's erased accounts that have a block or roles, by when
--          their ended sessions are forgotten, see forget.lua
-- KEYS[9]  the partition's registry, see lib/registry.lua
-- KEYS[10] what is sealed of its accounts
local account = {cache = KEYS[6], noops = KEYS[7]}
change.erased, change.registry, change.registry_text = KEYS[8], KEYS[9], KEYS[10]
