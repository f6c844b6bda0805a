-- Gives an account roles, in place of those that it had. One that was never seen can be given some too.
-- KEYS[1..5], ARGV[1..6]  see subject
-- ARGV[7]  the roles, comma separated, at most 255 bytes
-- ARGV[8]  1 where the caller took the account off the list of admins
-- Returns  {DONE, record}     also where they were the same before
--          {STALE}            it became an admin since the caller looked: look again
--          {DAMAGED}
local EVENT_ROLES = 7
local STALE = 10
local k, roles = subject(), ARGV[7]

local raw = redis.call('GET', k.record) or blank()
if not sound(raw) then return {DAMAGED} end
local rec = open(raw)
if repeated(k) > 0 or rec.roles == roles then return {DONE, raw} end -- by itself, or by another
if is_admin(rec.roles) and not is_admin(roles) and ARGV[8] ~= '1' then return {STALE} end
rec.roles = roles
rec.head = flagged(rec.head, byte(raw, 2), sub(raw, 19, 24), k.op, 0)
rec.must = true
note(k, EVENT_ROLES, no_session, 0)
save(k, rec)
return {DONE, redis.call('GET', k.record)}
