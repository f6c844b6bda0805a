-- Records the result of a check of a session's proof that was claimed.
--
-- KEYS[1]  the session's state
-- ARGV[1]  now, ms
-- ARGV[2]  idempotency key of the change that claimed the check, 6 bytes
-- ARGV[3]  1 if the contract accepted it, 0 if it could not be asked
--
-- Returns  {DONE}
--          {UNKNOWN}  another claim, or the session has ended
local state, now, idem, accepted = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1'

if not isClaimedBy(state, idem) then return {UNKNOWN} end
local proof = storedProof(state)
local checked, free = number(proof, F.proof.checked_at), now + PROOF_RETRY
if accepted then checked, free = now, 0 end
writeProof(state, checked, free, idem, tail(proof, F.proof.sealed))
return {DONE}
