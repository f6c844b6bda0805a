-- Put behind the prelude, in front of every script: rate limits by GCRA, the generic cell rate algorithm (ITU-T I.371).
-- A limit of n requests a minute lets n pass at once, and then one each minute / n, rounded up to a millisecond. Its key
-- holds the time, six bytes, at which all n would pass again. That time moves ahead by one interval with each request
-- that passes, and nothing ever moves it back. So there is no window with an edge, and a caller whose clock is ahead
-- gains, once, what it is ahead.
--
-- The key lives for as long as that time lies ahead of whoever wrote it: a minute at most, but for the rounding. It is
-- written by one SET with its TTL, so none stays for good. A clock that ran far ahead locks nobody out: Redis forgets what
-- it wrote as soon as it would have been over by that clock.
local LIMITED = 8

-- limited_here counts one request against the rate limits in KEYS from number first on. Their sizes are in ARGV[sizes], in
-- that order and separated by commas; empty for none. It returns nil where all let it pass. Else it changes nothing, and
-- returns in how many milliseconds the next would pass.
local function limited_here(first, sizes, now)
  local writes, wait = {}, nil
  for size in string.gmatch(ARGV[sizes], '%d+') do
    local key, n = KEYS[first + #writes], tonumber(size)
    local interval = math.ceil(60000 / n)
    local full, at = now, redis.call('GET', key)
    -- One caller's clock may be ahead of another's: no honest time lies further ahead than the whole burst.
    if at and #at == 6 then full = math.min(math.max(num(at, 0, 6), now), now + n * interval) end
    full = full + interval
    local over = full - now - n * interval
    if over > 0 then wait = math.max(wait or 0, over) end
    writes[#writes + 1] = {key, bin(full, 6), string.format('%.0f', full - now)}
  end
  if wait then return wait end
  for _, w in ipairs(writes) do redis.call('SET', w[1], w[2], 'PX', w[3]) end
end
