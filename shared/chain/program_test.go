package chain_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"latchkey/shared/chain"
)

// opcodes has those that the program uses (Ethereum Yellow Paper, appendix H;
// SHL is from EIP-145).
var opcodes = map[string]byte{
	"ADD": 0x01, "SUB": 0x03, "EQ": 0x14, "ISZERO": 0x15, "AND": 0x16, "SHL": 0x1b,
	"CODESIZE": 0x38, "CODECOPY": 0x39, "EXTCODESIZE": 0x3b, "RETURNDATASIZE": 0x3d, "RETURNDATACOPY": 0x3e,
	"MLOAD": 0x51, "MSTORE8": 0x53, "JUMPI": 0x57, "GAS": 0x5a, "JUMPDEST": 0x5b,
	"PUSH1": 0x60, "PUSH4": 0x63, "DUP1": 0x80, "SWAP1": 0x90,
	"CALL": 0xf1, "RETURN": 0xf3, "STATICCALL": 0xfa,
}

// instruction is a line of the program: its bytes, and what they mean.
type instruction struct {
	bytes                  []byte
	label, opcode, operand string
}

// source reads the program with its comments.
func source(t *testing.T) (program []instruction) {
	t.Helper()
	text, err := os.ReadFile("program.go")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^\t((?:0x[0-9a-f]{2}, ?)+) *// (?:(\w+): )?([A-Z0-9]+)(?: (\S+))? ;`)
	_, text, _ = bytes.Cut(text, []byte("var program = []byte{\n"))
	for l := range strings.Lines(string(text)) {
		if l == "}\n" {
			return program
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("the line %q is not understood", l)
		}
		i := instruction{label: m[2], opcode: m[3], operand: m[4]}
		for _, b := range strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' }) {
			n, err := strconv.ParseUint(b, 0, 8)
			if err != nil {
				t.Fatal(err)
			}
			i.bytes = append(i.bytes, byte(n))
		}
		program = append(program, i)
	}
	t.Fatal("the program has no end")
	return nil
}

// The bytes are what the comments beside them say.
func TestProgram_source(t *testing.T) {
	program := source(t)
	labels, at := map[string]uint64{}, uint64(0)
	for _, i := range program {
		if i.label != "" {
			if i.opcode != "JUMPDEST" {
				t.Errorf("%s is at a %s", i.label, i.opcode)
			}
			labels[i.label] = at
		}
		at += uint64(len(i.bytes))
	}
	labels["end"] = at
	var assembled []byte
	for _, i := range program {
		want := []byte{opcodes[i.opcode]}
		if want[0] == 0 {
			t.Fatalf("the opcode %q is unknown", i.opcode)
		}
		if size, isPush := strings.CutPrefix(i.opcode, "PUSH"); isPush {
			name, isLabel := strings.CutPrefix(i.operand, "@")
			value, known := labels[name]
			if !isLabel {
				var err error
				value, err = strconv.ParseUint(i.operand, 0, 32)
				known = err == nil
			}
			n, _ := strconv.Atoi(size)
			if !known || value>>(8*n) != 0 {
				t.Fatalf("the operand %q of %s is not valid", i.operand, i.opcode)
			}
			want = append(want, binary.BigEndian.AppendUint64(nil, value)[8-n:]...)
		}
		if !bytes.Equal(i.bytes, want) {
			t.Errorf("%s %s is %x, written as %x", i.opcode, i.operand, want, i.bytes)
		}
		assembled = append(assembled, want...)
	}
	if !bytes.Equal(chain.Program, assembled) || len(assembled) < 100 {
		t.Errorf("the program is\n%x, assembled\n%x", chain.Program, assembled)
	}
}

// EIP-3860 limits creation code, and with it what follows, to 49,152 bytes.
func TestProgram_size(t *testing.T) {
	const mostQuestion, mostCalldata = 4 + 3*32 + 8192, 8192
	if n := len(chain.Program) + 3*32 + mostQuestion + mostCalldata; n > 49_152 {
		t.Errorf("the creation code can have %d bytes", n)
	}
}
