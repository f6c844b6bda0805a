package siwe

import (
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// ParseAddress reads an Ethereum address: "0x" in lower case and 40 hexadecimal
// digits. If upper and lower case are mixed they must be the checksum of
// EIP-55. A single case has no checksum and is accepted. The zero address is
// refused, because nobody knows a key for it and a failed recovery looks like
// it. Every error is a [*SyntaxError] for the field "address".
func ParseAddress(text string) (common.Address, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok || len(digits) != 2*common.AddressLength || !consistsOf(digits, isHexDigit) {
		return common.Address{}, &SyntaxError{"address", "must be 0x and 40 hexadecimal digits"}
	}
	address := common.HexToAddress(text)
	if address == (common.Address{}) {
		return common.Address{}, &SyntaxError{"address", "must not be the zero address"}
	}
	mixed := digits != strings.ToLower(digits) && digits != strings.ToUpper(digits)
	if mixed && address.Hex() != text {
		return common.Address{}, &SyntaxError{"address",
			"the mixed case is not the checksum of EIP-55: use that, or lower case"}
	}
	return address, nil
}
