-- Gives an account roles, in place of those that it had. One that was never seen can be given some too.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  this operation's answer, see remember
-- ARGV[7]  the roles, comma separated, at most 255 bytes
-- ARGV[8]  the roles by which the caller decided, see other_roles
-- Returns  {DONE, record}     also where they were the same before
--          {STALE}            the account has other roles: look again
--          {DAMAGED}
local EVENT_ROLES = 7
local k, memory, roles = subject(), KEYS[6], ARGV[7]

local before = known(memory)
if before then return before end
local raw = redis.call('GET', k.record) or blank()
if not sound(raw) then return {DAMAGED} end
local rec = open(raw)
if other_roles(rec.roles, ARGV[8]) then return {STALE} end
if rec.roles == roles then return remember(memory, {DONE, raw}) end
rec.roles = roles
rec.head = flagged(rec.head, byte(raw, 2), sub(raw, 19, 24), k.op, 0)
rec.must = true
note(k, EVENT_ROLES, no_session, 0)
save(k, rec)
return remember(memory, {DONE, redis.call('GET', k.record)})
