-- Looks at a nonce without spending it, and counts an attempt to use it. One
-- attempt may be under way at a time.
--
-- KEYS[1]  the nonce
-- KEYS[2]  its attempts
-- ARGV[1]  now, ms
-- ARGV[2]  idempotency key, 6 bytes
-- ARGV[3]  how many attempts there may be
-- ARGV[4]  how long an attempt may be under way, ms
-- ARGV[5]  how long to keep the attempts, ms
--
-- Returns  {DONE, terms}  begun, now or when it asked before;
--                         terms are what the nonce was issued for
--          {LIMITED, ms}  another attempt is under way; when it is over at last
--          {FULL}         there were too many attempts
--          {UNKNOWN}      never issued, or gone
--          {SPENT}        spent
--          {DAMAGED}      what is stored is not a nonce, or not its attempts
local nonce, attempts, now, idem = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
local most, under_way, keep = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]

local raw = redis.call('GET', nonce)
if not raw then return {UNKNOWN} end
local status = get(raw, F.issued.status)
if status == 's' then return {SPENT} end
if status ~= 'i' then return {DAMAGED} end
local terms = tail(raw, F.issued.terms)

local before = redis.call('GET', attempts)
local count = 0
if before then
  if #before ~= ATTEMPT_SIZE then return {DAMAGED} end
  if get(before, F.attempt.idem) == idem then return {DONE, terms} end
  count = number(before, F.attempt.count)
  local wait = number(before, F.attempt.free_at) - now
  if wait > 0 then return {LIMITED, wait} end
end
if count >= most then return {FULL} end
redis.call('SET', attempts, pack(
  F.attempt.count, count + 1,
  F.attempt.free_at, now + under_way,
  F.attempt.idem, idem), 'PX', keep)
return {DONE, terms}
