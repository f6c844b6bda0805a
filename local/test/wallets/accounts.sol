// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.4;

import {ERC4337} from "solady/src/accounts/ERC4337.sol";
import {ERC4337Factory} from "solady/src/accounts/ERC4337Factory.sol";

// The account of Solady, which needs a name for its typed data.
contract Account is ERC4337 {
    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Account", "1");
    }
}

contract Factory is ERC4337Factory {
    constructor(address account) ERC4337Factory(account) {}
}
