// Package upgrade checks that this version can replace an earlier release
// without a pause, and can be replaced by it again. Both run on one Redis, and
// each uses what the other stores.
//
// A fixture has every kind of value that a release stores. It consists of three
// files in testdata, which begin with the version:
//
//	.redis    the stored values, as commands
//	.json     the time, the configuration, and the tokens of the sessions
//	.answers  what the release answered then, one request a line
//
// The package has tests only.
package upgrade
