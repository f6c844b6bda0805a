package token

import "latchkey/shared/seal"

// Pair holds the two tokens of one generation.
//
// The access secret is derived from the refresh secret, and each refresh secret
// from its predecessor. So all callers that present the same refresh token
// compute the same successor. To answer the second of them, no credential has
// to be stored.
type Pair struct{ Access, Refresh Token }

// PairOf returns the pair that a refresh token belongs to. It returns
// [seal.ErrUnknownKey] if the token's key is not in the ring.
func PairOf(keys *seal.Ring, refresh Token) (Pair, error) {
	secret, err := keys.MAC(
		refresh.key, seal.AccessSecret, refresh.context(Access), refresh.secret[:])
	if err != nil {
		return Pair{}, err
	}
	access := refresh
	access.kind, access.secret = Access, [32]byte(secret)
	return Pair{Access: access, Refresh: refresh}, nil
}

// Successor returns the pair of the next generation. It returns
// [seal.ErrUnknownKey] if the token's key is not in the ring.
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

// Encode returns both tokens as clients hold them. It returns
// [seal.ErrUnknownKey] if their key is not in the ring.
func (p Pair) Encode(keys *seal.Ring) (access, refresh string, err error) {
	if access, err = p.Access.Encode(keys); err != nil {
		return "", "", err
	}
	refresh, err = p.Refresh.Encode(keys)
	return access, refresh, err
}

// Hashes returns what Redis stores of both tokens, [HashSize] bytes each. It
// returns [seal.ErrUnknownKey] if their key is not in the ring.
func (p Pair) Hashes(keys *seal.Ring) (access, refresh []byte, err error) {
	if access, err = p.Access.Hash(keys); err != nil {
		return nil, nil, err
	}
	refresh, err = p.Refresh.Hash(keys)
	return access, refresh, err
}
