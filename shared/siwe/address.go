package siwe

import (
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// ParseAddress reads an Ethereum address: "0x" in lower case and forty hexadecimal digits. Where upper and lower case
// are mixed they must be the checksum of EIP-55; one case throughout carries no checksum and is accepted. The zero
// address is refused, since no key is known for it and a failed recovery looks like it. Every error is a *SyntaxError for
// the field "address".
func ParseAddress(text string) (common.Address, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok || len(digits) != 2*common.AddressLength || !consistsOf(digits, isHexDigit) {
		return common.Address{}, &SyntaxError{"address", "not 0x and forty hexadecimal digits"}
	}
	address := common.HexToAddress(text)
	if address == (common.Address{}) {
		return common.Address{}, &SyntaxError{"address", "the zero address"}
	}
	mixed := digits != strings.ToLower(digits) && digits != strings.ToUpper(digits)
	if mixed && address.Hex() != text {
		return common.Address{}, &SyntaxError{"address", "its mixed case fails the checksum of EIP-55"}
	}
	return address, nil
}
