-- The proof of a contract's session is what its contract accepted at the login
-- or the last step-up: sealed, with the times that scripts need in front of it.
-- It is a field of the session's state, which every end of a session unlinks,
-- and which no validation reads.

local function writeProof(state, checked, free, idem, sealed)
  redis.call('HSET', state, PROOF_FIELD,
    pack(F.proof.checked_at, checked, F.proof.free_at, free, F.proof.idem, idem) .. sealed)
end

-- saveProof stores a proof that was checked now. keep is how long the state is
-- kept, ms.
local function saveProof(state, sealed, now, keep)
  writeProof(state, now, 0, NO_IDEM, sealed)
  redis.call('PEXPIRE', state, string.format('%.0f', keep))
end

-- storedProof returns the proof of a session, or nil.
local function storedProof(state)
  local proof = redis.pcall('HGET', state, PROOF_FIELD)
  return type(proof) == 'string' and #proof > PROOF_HEAD and proof or nil
end

-- claimCheck returns the sealed proof of a session if it is due to be checked
-- again, or if this change has claimed that before. The claim holds for a
-- minute: if the caller dies, another claims it then. If the proof is lost, it
-- returns PROOF_LOST, otherwise ''.
local function claimCheck(state, now, idem, interval)
  if interval == 0 then return '' end
  local proof = storedProof(state)
  if not proof then return PROOF_LOST end
  local sealed = tail(proof, F.proof.sealed)
  if get(proof, F.proof.idem) ~= idem then
    if now < number(proof, F.proof.checked_at) + interval
      or now < number(proof, F.proof.free_at) then return '' end
    writeProof(state, number(proof, F.proof.checked_at), now + MINUTE, idem, sealed)
  end
  return sealed
end

-- isClaimedBy reports whether the last to claim the check of a session's proof
-- was this change. A step-up ends every claim.
local function isClaimedBy(state, idem)
  local proof = storedProof(state)
  return proof ~= nil and get(proof, F.proof.idem) == idem
end
