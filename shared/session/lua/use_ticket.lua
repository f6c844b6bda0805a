-- Uses a ticket, and reads the session that it belongs to. If another one used
-- it before, that is recorded, once, even if it has expired since.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6]  the session's payload
-- KEYS[7]  the session's tickets
-- ARGV[7]  session part of the id, 16 bytes
-- ARGV[8]  hash of the ticket, 16 bytes
-- ARGV[9]  the use, 16 bytes: the same one may be repeated
-- ARGV[10] grace, ms
--
-- Returns  {DONE, record, access, payload}  used; access is the hash of the
--                     access token that asked for it; payload may be missing
--          {SPENT}    another use came before
--          {EXPIRED}  it has expired, or its access token has
--          {UNKNOWN}  no such session, or no such ticket
--          {ENDED, reason, time, mine}, {DAMAGED}
local payload, tickets, session, ticket = KEYS[6], KEYS[7], ARGV[7], ARGV[8]
local use, grace, now = ARGV[9], tonumber(ARGV[10]), change.now

local raw = redis.call('GET', change.record)
local at, reply = findLive(raw, session, now, change.idem)
if not at then return reply end
local item = callOrReset('HGET', tickets, ticket)
if not item then return {UNKNOWN} end
if #item ~= TICKET_SIZE then return {DAMAGED} end
local access, used_by = get(item, F.ticket.access), get(item, F.ticket.used_by)
if used_by ~= NO_HASH and used_by ~= use then
  if number(item, F.ticket.reused) == 1 then
    emitAgain(change)
    return {SPENT}
  end
  emit(change, EVENT_TICKET_REUSED, session, 0)
  writeEvents(change)
  redis.call('HSET', tickets, ticket, with(item, F.ticket.reused, 1))
  return {SPENT}
end
if now >= number(item, F.ticket.expires) then return {EXPIRED} end
if not isGoodAccess(get(raw, at, F.entry), access, grace, now) then return {EXPIRED} end
if used_by == NO_HASH then
  redis.call('HSET', tickets, ticket, with(item, F.ticket.used_by, use))
end
return {DONE, raw, access, redis.call('GET', payload) or ''}
