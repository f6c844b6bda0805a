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
	address, wrong := readAddress(text)
	if wrong.found() {
		return common.Address{}, &SyntaxError{Field: "address", Reason: wrong.reason}
	}
	return address, nil
}

// addressPrefix begins every address.
const addressPrefix = "0x"

func readAddress(text string) (common.Address, fault) {
	if at := refusedInAddress(text); at != none {
		return common.Address{}, refusal("must be 0x and 40 hexadecimal digits", at)
	}
	address := common.HexToAddress(text)
	if address == (common.Address{}) {
		return common.Address{}, fault{reason: "must not be the zero address"}
	}
	digits := text[len(addressPrefix):]
	mixed := digits != strings.ToLower(digits) && digits != strings.ToUpper(digits)
	if mixed && address.Hex() != text {
		return common.Address{}, fault{
			reason: "the mixed case is not the checksum of EIP-55: use that, or lower case",
		}
	}
	return address, fault{}
}

// refusedInAddress returns the index of the first character that no address has
// there.
func refusedInAddress(text string) int {
	const length = len(addressPrefix) + 2*common.AddressLength
	for i := range len(text) {
		switch {
		case i == length,
			i < len(addressPrefix) && text[i] != addressPrefix[i],
			i >= len(addressPrefix) && !isHexDigit(text[i]):
			return i
		}
	}
	if len(text) < length {
		return len(text)
	}
	return none
}
