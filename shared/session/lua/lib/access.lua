-- Access tokens, as an entry has them.

-- accessEnd returns when an access token with that hash expires: the current
-- one at its end, the one before at the end of the grace at the latest. It
-- returns nil for any other.
local function accessEnd(entry, hash, grace)
  if hash == get(entry, F.access) then return number(entry, F.access_end) end
  if hash == get(entry, F.former_access) then
    return math.min(number(entry, F.former_access_end), number(entry, F.rotated) + grace)
  end
  return nil
end

-- isGoodAccess reports whether an access token with that hash is valid.
local function isGoodAccess(entry, hash, grace, now)
  local last = accessEnd(entry, hash, grace)
  return last ~= nil and now < last
end
