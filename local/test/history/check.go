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

// Operation is a call and its answer as a client met them. Called and Returned are places, from 1 on, in one order of all
// calls and returns: what returned before another was called happened before it. One that returned at 0 never did: it
// happened at any time after it was called, or not at all.
type Operation struct {
	Client           int
	Call             Call
	Answer           Answer
	Called, Returned int64
}

// History is what clients met who worked at once.
type History struct {
	Seed       uint64
	Rules      session.Options
	Operations []Operation
}

// ErrUndecided says that a history could not be checked in time. It counts as a failure: take shorter histories, or
// fewer lost answers.
var ErrUndecided = errors.New("history neither proven nor refuted in time")

// Violation says that the operations of an account could not have happened one after the other.
type Violation struct {
	Seed    uint64
	Account int
	// Operations are those of the account in the order of their calls, and Explained the most of them that the checker found
	// an order for, in that order.
	Operations []Operation
	Explained  []Operation

	model porcupine.Model
	info  porcupine.LinearizationInfo
}

// Error prints the operations, and marks those that the longest order which the model allows leaves out.
func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, account %d: no order explains these %d operations; with ! those beyond the longest order that is one:\n",
		v.Seed, v.Account, len(v.Operations))
	for _, op := range v.Operations {
		mark := '!'
		if slices.ContainsFunc(v.Explained, op.is) {
			mark = ' '
		}
		fmt.Fprintf(&b, "%c %4d–%-4d client %d %v → %v\n", mark, op.Called, op.Returned, op.Client, op.Call, op.Answer)
	}
	return b.String()
}

// is tells whether two are the same operation, and the same attempt at it as far as that shows.
func (op Operation) is(other Operation) bool {
	return op.Called == other.Called && op.Call == other.Call && op.Answer.Lost == other.Answer.Lost
}

// Draw writes porcupine's picture of the violation to an HTML file.
func (v *Violation) Draw(path string) error { return porcupine.VisualizePath(v.model, v.info, path) }

// Check looks for an order of each account's operations in which the model gives the answers that were given. It fails
// with a *Violation where there is none, and with ErrUndecided where that takes longer than patience for one account.
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
			return fmt.Errorf("checking seed %d, account %d, %d operations: %w", h.Seed, account, len(ops), ErrUndecided)
		}
	}
	return nil
}

func (h History) violation(model porcupine.Model, account int, ops []Operation, patience time.Duration) *Violation {
	v := &Violation{Seed: h.Seed, Account: account, model: model}
	v.Operations = slices.SortedStableFunc(slices.Values(ops), func(a, b Operation) int { return int(a.Called - b.Called) })
	_, v.info = porcupine.CheckOperationsVerbose(model, events(ops), patience)
	longest := []porcupine.Operation{}
	for _, order := range slices.Concat(v.info.PartialLinearizationsOperations()...) {
		if len(order) > len(longest) {
			longest = order
		}
	}
	for _, op := range longest {
		v.Explained = append(v.Explained, Operation{op.ClientId, op.Input.(Call), op.Output.(Answer), op.Call, op.Return})
	}
	return v
}

// events are operations as porcupine takes them. One that never returned returns after all others: where its place is the
// last, it has not happened to anybody. In the picture what was not heard of has a line of its own.
func events(ops []Operation) []porcupine.Operation {
	var all []porcupine.Operation
	var end int64
	line := 0
	for _, op := range ops {
		end, line = max(end, op.Called, op.Returned), max(line, op.Client)
	}
	for _, op := range ops {
		o := porcupine.Operation{ClientId: op.Client, Input: op.Call, Output: op.Answer, Call: op.Called, Return: op.Returned}
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

// modelOf is the model as porcupine takes it.
func modelOf(rules session.Options) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return NewModel(rules) },
		Step: func(state, input, output any) (bool, any) {
			next, got := state.(*Model).clone(), output.(Answer)
			want := next.Apply(input.(Call))
			if input.(Call).Kind == Validate {
				want.Roles = "" // told by ReadRoles
			}
			return got.Lost || reflect.DeepEqual(want, got), next
		},
		Equal:             func(a, b any) bool { return a.(*Model).equal(b.(*Model)) },
		Hash:              func(state any) uint64 { return state.(*Model).hash() },
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v → %v", input, output) },
		DescribeState:     func(state any) string { return state.(*Model).String() },
	}
}
