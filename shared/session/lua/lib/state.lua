-- A session's state is a hash. A field is the keyed hash of a key's name, 16
-- bytes. A value is expiry, size, and the sealed bytes, whose nonce is the
-- key's version.

-- isExpired reports whether a stored value has expired.
local function isExpired(value, now) return number(value, F.item.expires) <= now end

-- meetsCondition reports whether a stored value, or nil, is as the caller wants
-- it: '' wants nothing, 'absent', 'any', or 'version' and any number of
-- versions, one of which must be stored.
local function meetsCondition(stored, want)
  if want == '' then return true end
  if want == 'absent' then return not stored end
  if not stored then return false end
  if want == 'any' then return true end
  for at = #'version', #want - VERSION_SIZE, VERSION_SIZE do
    if get(want, at, F.version.version) == get(stored, F.item.version) then return true end
  end
  return false
end
