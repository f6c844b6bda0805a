// Command openapi compares the answers that tests saw with docs/openapi.json.
//
//	go run ./local/test/openapi FOLDER
//
// The folder has what local/answers collected. The command fails for each answer
// that the document does not allow, and for each part of the document that no
// answer has shown. Of requests that succeeded it compares body and parameters,
// in both directions too. It also fails if a package has collected nothing. If
// tests were skipped because a program is missing, it says so, and does not ask
// for what they would have shown. In CI nothing is skipped.
//
// What API Gateway answers itself is not compared, CORS preflights included. An
// answer to HEAD has the content type of GET and no body, and one of 304 has
// neither. No route streams.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"

	"latchkey/docs"
	"latchkey/local/answers"
)

func main() {
	flag.Parse()
	problems, err := run(flag.Arg(0))
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, problem)
	}
	if len(problems) > 0 {
		fmt.Fprintf(os.Stderr, "%d differences from %s\n", len(problems), page)
		os.Exit(1)
	}
}

// run compares the answers of a folder, and prints what it did.
func run(folder string) ([]string, error) {
	seen, err := answers.Read(folder)
	if err != nil {
		return nil, err
	}
	d, err := load(docs.OpenAPI)
	if err != nil {
		return nil, err
	}
	problems, skipped := compareAll(d, seen)
	for _, why := range skipped {
		fmt.Println("tests were skipped, so not all of " + page + " is wanted: " + why)
	}
	fmt.Printf("%d distinct answers of tests are compared with %s\n", len(seen), page)
	return problems, nil
}

// compareAll returns the problems, and why tests were skipped.
func compareAll(d *document, seen []answers.Answer) (problems, skipped []string) {
	c := newComparison(d)
	wrote := map[string]bool{}
	for _, a := range seen {
		wrote[a.Package] = true
		if a.Skipped == "" {
			c.look(a)
		} else if !slices.Contains(skipped, a.Skipped) {
			skipped = append(skipped, a.Skipped)
		}
	}
	for _, name := range packages {
		if !wrote[name] {
			c.report("%s collected no answer: its tests did not run,"+
				" or their handlers are not wrapped by local/answers", name)
		}
	}
	if len(skipped) == 0 {
		c.wantAll()
	}
	return c.found(), skipped
}

// packages are those whose tests see answers of the API.
var packages = []string{
	"latchkey/client", "latchkey/local", "latchkey/local/restore", "latchkey/local/test/stack",
	"latchkey/local/test/upgrade", "latchkey/local/test/wallets", "latchkey/shared/api", "latchkey/shared/boot",
	"latchkey/shared/lambdahttp", "latchkey/shared/openapi",
}
