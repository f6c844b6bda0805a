// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

// Accounts that tests ask. README.md has the command that compiles them.

interface IERC1271 {
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4);
}

// Accepts what its owner's key signed. The owner can be changed.
contract OwnerWallet {
    address public owner;

    constructor(address first) {
        owner = first;
    }

    function setOwner(address next) external {
        require(msg.sender == owner, "not the owner");
        owner = next;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 65) return 0xffffffff;
        bytes32 r = bytes32(signature[:32]);
        bytes32 s = bytes32(signature[32:64]);
        address signer = ecrecover(hash, uint8(signature[64]), r, s);
        return signer != address(0) && signer == owner ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

// Deploys owner wallets to addresses that are known before.
contract Factory {
    function deploy(address owner, bytes32 salt) external returns (address) {
        return address(new OwnerWallet{salt: salt}(owner));
    }

    function idle() external {}

    function fail() external pure {
        revert("no");
    }
}

// Accepts everything once it has been prepared. Until then it says no.
contract Unprepared {
    bool public ready;

    function prepare() external {
        ready = true;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return ready ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

// Accepts an empty signature for a hash that was approved on chain.
contract Approves {
    mapping(bytes32 => bool) public approved;

    function approve(bytes32 hash) external {
        approved[hash] = true;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        return signature.length == 0 && approved[hash] ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

// Accepts only the one signature of 8192 bytes that repeats the hash.
contract LongSignature {
    function isValidSignature(bytes32 hash, bytes calldata signature) external pure returns (bytes4) {
        if (signature.length != 8192) return 0xffffffff;
        for (uint256 i = 0; i < 8192; i += 32) {
            if (bytes32(signature[i:i + 32]) != hash) return 0xffffffff;
        }
        return IERC1271.isValidSignature.selector;
    }
}

// Answers with the first bytes of slots 1 and 2, as many as slot 0 says.
contract Answers {
    fallback() external {
        assembly {
            mstore(0, sload(1))
            mstore(32, sload(2))
            return(0, sload(0))
        }
    }
}

// Answers with its calldata, or with its first word.
contract Echoes {
    fallback() external {
        assembly {
            calldatacopy(0, 0, calldatasize())
            return(0, calldatasize())
        }
    }
}

contract EchoesWord {
    fallback() external {
        assembly {
            calldatacopy(0, 0, 32)
            return(0, 32)
        }
    }
}

// Fails, in each way that a node reports with a text of its own.
contract Reverts {
    fallback() external {
        revert("execution aborted (timeout = 5s)");
    }
}

// Reverts with the answer that would be a yes.
contract RevertsWithMagic {
    fallback() external {
        assembly {
            mstore(0, shl(224, 0x1626ba7e))
            revert(0, 32)
        }
    }
}

contract Burns {
    fallback() external {
        assembly {
            for {} 1 {} {}
        }
    }
}

contract Invalid {
    fallback() external {
        assembly {
            invalid()
        }
    }
}

// Says yes, but changes state before.
contract Writes {
    fallback() external {
        assembly {
            sstore(0, 1)
            mstore(0, shl(224, 0x1626ba7e))
            return(0, 32)
        }
    }
}

// The one function of Multicall3 that is used.
contract Multicall {
    struct Call {
        address target;
        bool allowFailure;
        bytes callData;
    }
    struct Result {
        bool success;
        bytes returnData;
    }

    function aggregate3(Call[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            (results[i].success, results[i].returnData) = calls[i].target.call(calls[i].callData);
            require(results[i].success || calls[i].allowFailure, "call failed");
        }
    }
}
