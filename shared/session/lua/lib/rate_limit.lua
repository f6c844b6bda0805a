-- Rate limits by GCRA, the generic cell rate algorithm (ITU-T I.371). A limit
-- of n requests a minute lets n pass at once, and then one each minute / n,
-- rounded up to a millisecond. Its key holds the time, six bytes, at which all
-- n would pass again. That time moves ahead by one interval with each request
-- that passes, and nothing moves it back. So there is no window with an edge,
-- and a caller whose clock is ahead gains, once, what it is ahead.
--
-- The key lives for as long as that time is ahead of the caller that wrote it:
-- a minute at most, but for the rounding. It is written by one SET with its
-- TTL, so none stays for good. A clock that ran far ahead locks nobody out:
-- Redis forgets what it wrote as soon as it would have been over by that clock.

-- rateLimit counts one request against the rate limits in KEYS from number
-- first on. sizes are their sizes in that order, requests a minute, comma
-- separated; empty for none. It returns nil if all let it pass. Otherwise it
-- changes nothing and returns after how many milliseconds the next request
-- would pass.
local function rateLimit(first, sizes, now)
  local writes, wait = {}, nil
  for size in string.gmatch(sizes, '%d+') do
    local key, n = KEYS[first + #writes], tonumber(size)
    local interval = math.ceil(MINUTE / n)
    local full, stored = now, redis.call('GET', key)
    -- One caller's clock may be ahead of another's: no honest time is further
    -- ahead than the whole burst.
    if stored and #stored == RATE_SIZE then
      full = math.min(math.max(number(stored, F.rate.full), now), now + n * interval)
    end
    full = full + interval
    local over = full - now - n * interval
    if over > 0 then wait = math.max(wait or 0, over) end
    writes[#writes + 1] = {key, pack(F.rate.full, full), string.format('%.0f', full - now)}
  end
  if wait then return wait end
  for _, w in ipairs(writes) do redis.call('SET', w[1], w[2], 'PX', w[3]) end
end
