-- The next keys of every script that changes an account, or many of its
-- sessions.
--
-- KEYS[6]  the reply cache of this change, see lib/reply_cache.lua
-- KEYS[7]  the account's no-ops, see lib/noop.lua
-- KEYS[8]  the partition's erased accounts that have a block or roles, by when
--          their ended sessions are forgotten, see forget.lua
local account = {cache = KEYS[6], noops = KEYS[7]}
change.erased = KEYS[8]
