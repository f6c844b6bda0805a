package chain

// program is the creation code that asks an account about a wrapped signature
// (ERC-6492). What it needs follows it: the address of the account, that of the
// factory, the length of the question, each a word; the question, which is the
// calldata for the account; and the calldata for the factory, to the end.
//
// It asks the account if that has code. If there is none, or the account does
// not accept, it calls the factory and asks again, once. It returns one byte: 1
// if the account accepted, else 0.
//
// An account without code is never asked: precompiles have none, and a call of
// an address without code succeeds. The question is a static call, since
// isValidSignature must not change state (ERC-1271). An answer must be one
// word, the magic value and 28 zeros, so that an echo does not pass. If all gas
// is used up, the whole call fails, and that is a no.
//
// Memory: the answer at 0x00, the account at 0x20, the factory at 0x40, the
// length of the question at 0x60, the question at 0x80, and the calldata for
// the factory after it. Each line has its bytes and what they mean, and the
// stack behind a semicolon, with its top at the right. A test assembles the
// comments and compares. No opcode is younger than the Constantinople fork.
var program = []byte{
	0x60, 0x7b, // PUSH1 @end ; end
	0x38,       // CODESIZE ; end size
	0x03,       // SUB ; size-end
	0x60, 0x7b, // PUSH1 @end ; size-end end
	0x60, 0x20, // PUSH1 0x20 ; size-end end 0x20
	0x39,       // CODECOPY ;
	0x60, 0x00, // PUSH1 0x00 ; called = 0: whether the factory has been called
	0x5b,       // ask: JUMPDEST ; called
	0x60, 0x20, // PUSH1 0x20 ; called 0x20
	0x51,       // MLOAD ; called account
	0x3b,       // EXTCODESIZE ; called size
	0x15,       // ISZERO ; called none
	0x60, 0x41, // PUSH1 @no ; called none no
	0x57,       // JUMPI ; called
	0x60, 0x00, // PUSH1 0x00 ; called 0: the answer is copied below
	0x60, 0x00, // PUSH1 0x00 ; called 0 0
	0x60, 0x60, // PUSH1 0x60 ; called 0 0 0x60
	0x51,       // MLOAD ; called 0 0 length
	0x60, 0x80, // PUSH1 0x80 ; called 0 0 length 0x80
	0x60, 0x20, // PUSH1 0x20 ; called 0 0 length 0x80 0x20
	0x51,       // MLOAD ; called 0 0 length 0x80 account
	0x5a,       // GAS ; called 0 0 length 0x80 account gas
	0xfa,       // STATICCALL ; called success
	0x3d,       // RETURNDATASIZE ; called success n
	0x60, 0x20, // PUSH1 0x20 ; called success n 32
	0x14,       // EQ ; called success word
	0x16,       // AND ; called answered
	0x15,       // ISZERO ; called not-answered
	0x60, 0x41, // PUSH1 @no ; called not-answered no
	0x57,       // JUMPI ; called
	0x60, 0x20, // PUSH1 0x20 ; called 32
	0x60, 0x00, // PUSH1 0x00 ; called 32 0
	0x60, 0x00, // PUSH1 0x00 ; called 32 0 0
	0x3e,       // RETURNDATACOPY ; called
	0x60, 0x00, // PUSH1 0x00 ; called 0
	0x51,                         // MLOAD ; called answer
	0x63, 0x16, 0x26, 0xba, 0x7e, // PUSH4 0x1626ba7e ; called answer magic
	0x60, 0xe0, // PUSH1 0xe0 ; called answer magic 224
	0x1b,       // SHL ; called answer magic-word
	0x14,       // EQ ; called accepted
	0x60, 0x70, // PUSH1 @yes ; called accepted yes
	0x57,       // JUMPI ; called
	0x5b,       // no: JUMPDEST ; called
	0x60, 0x65, // PUSH1 @refuse ; called refuse
	0x57,       // JUMPI ;
	0x60, 0x01, // PUSH1 0x01 ; called = 1
	0x60, 0x00, // PUSH1 0x00 ; called 0: what the factory returns is not used
	0x60, 0x00, // PUSH1 0x00 ; called 0 0
	0x60, 0x60, // PUSH1 0x60 ; called 0 0 0x60
	0x51,       // MLOAD ; called 0 0 length
	0x60, 0x80, // PUSH1 0x80 ; called 0 0 length 0x80
	0x01,       // ADD ; called 0 0 from
	0x80,       // DUP1 ; called 0 0 from from
	0x60, 0x7b, // PUSH1 @end ; called 0 0 from from end
	0x38,       // CODESIZE ; called 0 0 from from end size
	0x03,       // SUB ; called 0 0 from from size-end
	0x60, 0x20, // PUSH1 0x20 ; called 0 0 from from size-end 0x20
	0x01,       // ADD ; called 0 0 from from to
	0x03,       // SUB ; called 0 0 from to-from
	0x90,       // SWAP1 ; called 0 0 to-from from
	0x60, 0x00, // PUSH1 0x00 ; called 0 0 to-from from value
	0x60, 0x40, // PUSH1 0x40 ; called 0 0 to-from from value 0x40
	0x51,       // MLOAD ; called 0 0 to-from from value factory
	0x5a,       // GAS ; called 0 0 to-from from value factory gas
	0xf1,       // CALL ; called success
	0x60, 0x0b, // PUSH1 @ask ; called success ask
	0x57,       // JUMPI ; called
	0x5b,       // refuse: JUMPDEST ;
	0x60, 0x00, // PUSH1 0x00 ; 0
	0x60, 0x00, // PUSH1 0x00 ; 0 0
	0x53,       // MSTORE8 ;
	0x60, 0x01, // PUSH1 0x01 ; 1
	0x60, 0x00, // PUSH1 0x00 ; 1 0
	0xf3,       // RETURN ;
	0x5b,       // yes: JUMPDEST ;
	0x60, 0x01, // PUSH1 0x01 ; 1
	0x60, 0x00, // PUSH1 0x00 ; 1 0
	0x53,       // MSTORE8 ;
	0x60, 0x01, // PUSH1 0x01 ; 1
	0x60, 0x00, // PUSH1 0x00 ; 1 0
	0xf3, // RETURN ;
}
