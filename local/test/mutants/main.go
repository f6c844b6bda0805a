// Command mutants weakens the code that enforces the invariants, one line at a
// time, and checks that a test fails each time. It reads the list of mutations
// from mutations.md, which is beside it. It does not change the working
// tree: the -overlay of go test gives the compiler a mutated copy, which also
// works for embedded scripts.
//
//	go run ./local/test/mutants            all
//	go run ./local/test/mutants gate …     those
//
// It runs in the project's folder. It exits with 1 unless every test passes
// without a mutation and fails with its own.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
)

// listFile is the file with the list, relative to the project's folder.
const listFile = "local/test/mutants/mutations.md"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, ".", os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run runs the named mutations, or all, of the project in root, and reports
// each on out.
func run(ctx context.Context, root string, names []string, out io.Writer) error {
	all, err := readList(root)
	if err != nil {
		return err
	}
	if all, err = chosen(all, names); err != nil {
		return err
	}
	if root, err = filepath.Abs(root); err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	b := bench{root: root, temp: temp}
	if err := b.holds(ctx, all); err != nil {
		return err
	}
	fmt.Fprintln(out, "without a mutation every test passes")
	return b.tryAll(ctx, all, out)
}

func readList(root string) ([]mutation, error) {
	text, err := os.ReadFile(filepath.Join(root, listFile))
	if err != nil {
		return nil, fmt.Errorf("reading the list, from the project's folder: %w", err)
	}
	return parse(string(text))
}

// chosen returns the named mutations, or all if there are no names.
func chosen(all []mutation, names []string) ([]mutation, error) {
	if len(names) == 0 {
		return all, nil
	}
	var some []mutation
	for _, name := range names {
		i := slices.IndexFunc(all, func(m mutation) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s has no mutation %q", listFile, name)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// tryAll runs mutations in parallel, as many as there are processors, and
// reports the results in the order of the list.
func (b bench) tryAll(ctx context.Context, all []mutation, out io.Writer) error {
	results := make([]chan trialResult, len(all))
	for i := range results {
		results[i] = make(chan trialResult, 1)
	}
	next := make(chan int)
	for range runtime.NumCPU() {
		go func() {
			for i := range next {
				results[i] <- b.try(ctx, all[i])
			}
		}()
	}
	go func() {
		for i := range all {
			next <- i
		}
		close(next)
	}()
	count := map[outcome]int{}
	for i, m := range all {
		v := <-results[i]
		if ctx.Err() != nil {
			return ctx.Err()
		}
		count[v.outcome]++
		fmt.Fprintf(out, "%2d %-24s %-10s %s\n", m.invariant, m.name, v.outcome, m.test)
		for _, line := range v.lines {
			fmt.Fprintln(out, "     "+line)
		}
	}
	fmt.Fprintf(out, "mutations %d, caught %d, survived %d, broken %d\n",
		len(all), count[caught], count[survived], count[broken])
	if count[caught] != len(all) {
		return fmt.Errorf("%d of %d mutations were not caught", len(all)-count[caught], len(all))
	}
	return nil
}
