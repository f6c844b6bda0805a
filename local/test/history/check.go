package history

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"latchkey/shared/session"
)

// Operation is a call and its answer, as a client saw them. Called and Returned
// are positions, from 1, in one order of all calls and returns. An operation
// that returned before another one was called happened before it. If Returned
// is 0 the operation never returned: it happened at any time after it was
// called, or not at all.
type Operation struct {
	Client           int
	Call             Call
	Answer           Answer
	Called, Returned int64
}

// History is what clients saw that worked at the same time.
type History struct {
	Seed       uint64
	Rules      session.Options
	Operations []Operation
}

// ErrUndecided means that a history could not be checked in time. It counts as
// a failure. Use shorter histories, or fewer lost answers.
var ErrUndecided = errors.New("history neither proven nor refuted in time")

// Violation means that the operations of an account could not have happened one
// after the other.
type Violation struct {
	Seed    uint64
	Account int
	// Operations are the operations of the account in the order of their calls.
	// Explained has the longest order of them that the checker found.
	Operations []Operation
	Explained  []Operation

	model porcupine.Model
	info  porcupine.LinearizationInfo
}

// Error lists the operations, and marks those that are not in the longest order
// that the model allows.
func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, account %d: no order explains these %d operations;"+
		" those marked with ! are not in the longest order that was found:\n",
		v.Seed, v.Account, len(v.Operations))
	for _, op := range v.Operations {
		mark := '!'
		if slices.ContainsFunc(v.Explained, op.is) {
			mark = ' '
		}
		fmt.Fprintf(&b, "%c %4d–%-4d client %d %v → %v\n",
			mark, op.Called, op.Returned, op.Client, op.Call, op.Answer)
	}
	return b.String()
}

// is reports whether two operations are the same, and the same attempt, as far
// as that can be seen.
func (op Operation) is(other Operation) bool {
	return op.Called == other.Called && op.Call == other.Call && op.Answer.Lost == other.Answer.Lost
}

// Draw writes porcupine's drawing of the violation to an HTML file.
func (v *Violation) Draw(path string) error {
	return porcupine.VisualizePath(v.model, v.info, path)
}

// Check searches an order of each account's operations in which the model gives
// the same answers. It returns a [*Violation] if there is no such order, and
// ErrUndecided if the search takes longer than patience for one account.
func (h History) Check(patience time.Duration) error {
	accounts := map[int][]Operation{}
	for _, op := range h.Operations {
		accounts[op.Call.Account] = append(accounts[op.Call.Account], op)
	}
	model := modelOf(h.Rules)
	for account, ops := range accounts {
		switch porcupine.CheckOperationsTimeout(model, events(ops), patience) {
		case porcupine.Ok:
		case porcupine.Illegal:
			return h.violation(model, account, ops, patience)
		default:
			return fmt.Errorf("checking seed %d, account %d, %d operations: %w",
				h.Seed, account, len(ops), ErrUndecided)
		}
	}
	return nil
}

func (h History) violation(
	model porcupine.Model, account int, ops []Operation, patience time.Duration,
) *Violation {
	v := &Violation{Seed: h.Seed, Account: account, model: model}
	byCall := func(a, b Operation) int { return int(a.Called - b.Called) }
	v.Operations = slices.SortedStableFunc(slices.Values(ops), byCall)
	_, v.info = porcupine.CheckOperationsVerbose(model, events(ops), patience)
	longest := []porcupine.Operation{}
	for _, order := range slices.Concat(v.info.PartialLinearizationsOperations()...) {
		if len(order) > len(longest) {
			longest = order
		}
	}
	for _, op := range longest {
		v.Explained = append(v.Explained, Operation{
			op.ClientId, op.Input.(Call), op.Output.(Answer), op.Call, op.Return,
		})
	}
	return v
}

// events converts operations to porcupine's type. An operation that never
// returned gets a return after all others: at the last position, nobody has
// seen it. In the drawing, each lost attempt has a line of its own.
func events(ops []Operation) []porcupine.Operation {
	var all []porcupine.Operation
	var end int64
	line := 0
	for _, op := range ops {
		end, line = max(end, op.Called, op.Returned), max(line, op.Client)
	}
	for _, op := range ops {
		o := porcupine.Operation{
			ClientId: op.Client, Input: op.Call, Output: op.Answer,
			Call: op.Called, Return: op.Returned,
		}
		if op.Answer.Lost {
			line++
			o.ClientId = line
		}
		if op.Returned == 0 {
			o.Return = end + 1
		}
		all = append(all, o)
	}
	return all
}

// modelOf returns the model in porcupine's form.
func modelOf(rules session.Options) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return NewModel(rules) },
		Step: func(state, input, output any) (bool, any) {
			next, got := state.(*Model).clone(), output.(Answer)
			want := next.Apply(input.(Call))
			if input.(Call).Kind == Validate {
				want.Roles = "" // checked by ReadRoles
			}
			return got.Lost || reflect.DeepEqual(want, got), next
		},
		Equal: func(a, b any) bool { return a.(*Model).equal(b.(*Model)) },
		Hash:  func(state any) uint64 { return state.(*Model).hash() },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%v → %v", input, output)
		},
		DescribeState: func(state any) string { return state.(*Model).String() },
	}
}
