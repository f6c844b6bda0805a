package wallet_test

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/wallet"
)

// The signature is the one that EIP-2098 publishes for "Hello World".
func Example() {
	address := common.HexToAddress("0x2e988A386a799F506693793c6A5AF6B54dfAaBfB")
	signature, err := wallet.ParseSignature("0x68a020a209d3d56c46f38cc50a33f704f4a9a10a59377f8dd762ac66910e9b90" +
		"7e865ad05c4035ab5792787d4a0297a43617ae897930a6fe4d822b8faea520641b")
	if err != nil {
		fmt.Println("malformed:", err)
		return
	}
	fmt.Println(wallet.VerifyEOA([]byte("Hello World"), signature, address))

	err = wallet.VerifyEOA([]byte("Hello world"), signature, address)
	fmt.Println(errors.Is(err, wallet.ErrSignature), err)
	// Output:
	// <nil>
	// true signature not accepted: made by another key, or over another message
}
