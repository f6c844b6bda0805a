// Command service-key makes the key with which a backend asks who its callers
// are, and what the configuration needs to know of it. It stores neither.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"latchkey/shared/config"
	"latchkey/shared/token"
)

const usage = `service-key NAME makes a service key for the backend NAME: 1 to 32 of a-z, 0-9 and -.
It prints two lines: the key, which is shown only now, and its item for SERVICE_KEYS.

  make service-key NAME=orders
`

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "service-key:", err)
		os.Exit(1)
	}
}

// run makes one key. It writes to out what programs read, and to errs what
// people read.
func run(args []string, out, errs io.Writer) error {
	if len(args) == 1 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		_, err := io.WriteString(errs, usage)
		return err
	}
	if len(args) != 1 || args[0] == "" {
		return errors.New("name the backend, as in make service-key NAME=orders")
	}
	key := token.NewServiceKey()
	item, err := config.ServiceKeyItem(args[0], key)
	if err != nil {
		return err
	}
	fmt.Fprintf(errs, "%s… is the secret of the backend, and is shown only now. %s=… is not secret:\n"+
		"add it to SERVICE_KEYS. A name may have two items while its key rotates.\n",
		token.ServiceKeyPrefix, args[0])
	_, err = fmt.Fprintf(out, "%s\n%s\n", key, item)
	return err
}
