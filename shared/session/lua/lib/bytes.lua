-- Numbers in strings: unsigned, big endian, of 3, 4 or 6 bytes. A number of one
-- byte needs no more than byte and char. Offsets count from 0.
--
-- Binary strings may be compared for equality. For order they are decoded,
-- since < on strings follows the locale.
local byte, sub, char, floor = string.byte, string.sub, string.char, math.floor

-- num reads the number of that width at an offset.
local function num(s, at, width)
  if width == 6 then
    local a, b, c, d, e, f = byte(s, at + 1, at + 6)
    return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
  elseif width == 3 then
    local a, b, c = byte(s, at + 1, at + 3)
    return (a * 256 + b) * 256 + c
  end
  local a, b, c, d = byte(s, at + 1, at + 4)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- bin writes a number in that width.
local function bin(n, width)
  if width == 6 then
    return char(floor(n / 2^40) % 256, floor(n / 2^32) % 256, floor(n / 2^24) % 256,
      floor(n / 2^16) % 256, floor(n / 2^8) % 256, n % 256)
  elseif width == 3 then
    return char(floor(n / 2^16) % 256, floor(n / 2^8) % 256, n % 256)
  end
  return char(floor(n / 2^24) % 256, floor(n / 2^16) % 256, floor(n / 2^8) % 256, n % 256)
end
