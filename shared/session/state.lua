-- Put in front of the two scripts that change a session's state, which is a hash. A field is the keyed hash of a key's
-- name, 16 bytes, and its value is
--   expires 6 | size 4 | sealed: format 1, key id 4, nonce 12, and the rest
-- The nonce is the key's version.
local PRECONDITION, TOO_LARGE, MISSING = 6, 7, 11

-- past tells whether a stored value's time is over.
local function past(held, now) return num(held, 0, 6) <= now end

-- meets tells whether a stored value, or nil, is as wanted: '' wants nothing, 'absent', 'any', or 'version' and any number
-- of versions, one of which must be stored.
local function meets(stored, want)
  if want == '' then return true end
  if want == 'absent' then return not stored end
  if not stored then return false end
  if want == 'any' then return true end
  for at = 8, #want - 11, 12 do
    if sub(want, at, at + 11) == sub(stored, 16, 27) then return true end
  end
  return false
end
