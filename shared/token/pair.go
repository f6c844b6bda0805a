package token

import "latchkey/shared/seal"

// Pair is the two tokens of one generation.
//
// The access secret is derived from the refresh secret, and a refresh token from
// its predecessor. So all callers that present the same refresh token compute the
// same successor, and nothing that opens a session has to be stored to answer the
// second of them.
type Pair struct{ Access, Refresh Token }

// PairOf returns the pair that a refresh token belongs to. It fails if the token's
// key is not in the ring.
func PairOf(keys *seal.Ring, refresh Token) (Pair, error) {
	secret, err := keys.MAC(refresh.key, seal.AccessSecret, refresh.context(Access), refresh.secret[:])
	if err != nil {
		return Pair{}, err
	}
	access := refresh
	access.kind, access.secret = Access, [32]byte(secret)
	return Pair{Access: access, Refresh: refresh}, nil
}

// Successor returns the pair of the next generation. It fails if the token's key
// is not in the ring.
func Successor(keys *seal.Ring, refresh Token) (Pair, error) {
	next := refresh
	next.generation++
	secret, err := keys.MAC(refresh.key, seal.RefreshSecret, next.context(Refresh), refresh.secret[:])
	if err != nil {
		return Pair{}, err
	}
	next.secret = [32]byte(secret)
	return PairOf(keys, next)
}

// Encode returns both tokens as their holder sees them.
func (p Pair) Encode(keys *seal.Ring) (access, refresh string, err error) {
	if access, err = p.Access.Encode(keys); err != nil {
		return "", "", err
	}
	refresh, err = p.Refresh.Encode(keys)
	return access, refresh, err
}

// Hashes returns what Redis holds of both tokens.
func (p Pair) Hashes(keys *seal.Ring) (access, refresh []byte, err error) {
	if access, err = p.Access.Hash(keys); err != nil {
		return nil, nil, err
	}
	refresh, err = p.Refresh.Hash(keys)
	return access, refresh, err
}
