package session_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var (
	sessions = flag.Int("sessions", 20000, "how many live sessions BenchmarkScale has, of as many accounts")
	expired  = flag.Int("expired", 1000, "how many sessions it sweeps at a time")
)

// few is how many live sessions those are compared with.
const few = 2000

// BenchmarkScale is what costs that may grow with the number of live sessions: -sessions 2000000 -expired 100000. Started
// on one CPU, as by taskset -c 1, client and servers share it, and it shows what each of them spends. Each metric is the
// median of the rounds, and where two are compared they take turns.
func BenchmarkScale(b *testing.B) {
	for _, activity := range []int{0, 50} {
		b.Run(fmt.Sprintf("sessions=%d/activity=%d", *sessions, activity), func(b *testing.B) {
			less, more := populate(b, few, activity), populate(b, *sessions, activity)
			b.Logf("%d sessions began in %v", *sessions, more.took.Round(time.Second/10))
			b.Run("memory", more.benchmarkMemory)
			b.Run("validation", func(b *testing.B) { benchmarkValidation(b, less, more) })
			b.Run("get", less.benchmarkGet)
			b.Run("get-many", more.benchmarkGet)
			b.Run("statistics", more.benchmarkStatistics)
			b.Run("felt-list", more.benchmarkFeltList)
			b.Run("idle-sweep", more.benchmarkIdleSweep)
			b.Run("sweep", more.benchmarkSweep)
			b.Run("felt-sweep", more.benchmarkFeltSweep)
		})
	}
}

// rounds are what each round measured, by unit.
type rounds map[string][]float64

func (r rounds) add(unit string, value float64) { r[unit] = append(r[unit], value) }

// report reports the medians.
func (r rounds) report(b *testing.B) {
	for unit, all := range r {
		b.ReportMetric(at(all, 0.5), unit)
	}
	b.ReportMetric(0, "ns/op")
}

// at is the value that this share of them stays below.
func at[T float64 | time.Duration](all []T, share float64) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(float64(len(sorted)-1)*share)]
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func (p *population) benchmarkMemory(b *testing.B) {
	for b.Loop() {
	}
	for segment, bytes := range p.weight {
		b.ReportMetric(bytes, segment+"-bytes/session")
	}
	b.ReportMetric(0, "ns/op")
}

// validate reads n sessions, and returns how long each took.
func (p *population) validate(n int) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		token := p.token(rand.N(p.size))
		began := time.Now()
		_, err := p.Validate(ctx, token, browser)
		all[i] = time.Since(began)
		must(p.t, err)
	}
	return all
}

func benchmarkValidation(b *testing.B, less, more *population) {
	r := rounds{}
	for b.Loop() {
		var there, here []time.Duration
		before := more.cpu()
		for range 20 {
			there, here = append(there, less.validate(100)...), append(here, more.validate(100)...)
		}
		r.add("redis-µs/validation", micros(more.cpu()-before)/float64(len(here)))
		r.add("p50-µs", micros(at(here, 0.5)))
		r.add("p99-µs", micros(at(here, 0.99)))
		r.add("p50-of-2000-µs", micros(at(there, 0.5)))
		r.add("p50-ratio", float64(at(here, 0.5))/float64(at(there, 0.5)))
	}
	r.report(b)
}

// benchmarkGet compares what a validation costs Redis with the same validation after one GET of as many bytes, among as
// many values. Nothing else differs: what a client does between two trips shows in what they cost on a CPU that it shares.
func (p *population) benchmarkGet(b *testing.B) {
	plain := p.plain(b)
	r := rounds{}
	for b.Loop() {
		gets, validations := plain.cpu(), p.cpu()
		for range 20 {
			p.validate(100)
			plain.validate(100)
		}
		get, validation := plain.cpu()-gets, p.cpu()-validations
		r.add("redis-µs/get", micros(get)/2000)
		r.add("redis-µs/validation", micros(validation)/2000)
		r.add("redis-ratio", float64(validation)/float64(get))
	}
	r.report(b)
}

// plain is a server that has for each session one value as long as its record and payload together, and the first few
// sessions in a store that asks for one of those values where it would for both.
func (p *population) plain(b *testing.B) *population {
	own := redistest.ServerWith(b)
	rdb := own.NewProduct(b, patient)
	stored := p.stored(few)
	size := 0
	for _, values := range stored {
		size = len(values[0].(string)) + len(values[1].(string))
	}
	key := func(n int) string { return fmt.Sprintf("%s:%016x", own.Prefix, n) } // as long as theirs
	for n := 0; n < p.size; {
		_, err := rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for end := min(n+1000, p.size); n < end; n++ {
				pipe.Set(ctx, key(n), make([]byte, size), 0)
			}
			return nil
		})
		must(b, err)
	}
	one := *p.world
	one.rdb = own.Client()
	one.Store = p.on(p.hooked(func(_ redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		cmd.(*redis.SliceCmd).SetVal(stored[cmd.Args()[1].(string)])
		return rdb.Get(ctx, key(rand.N(p.size))).Err()
	}), p.clock)
	return &population{world: &one, size: few, tokens: p.tokens, tokenSize: p.tokenSize}
}

// stored are what validations of the first n sessions read, by the records' keys.
func (p *population) stored(n int) map[string][]any {
	all := map[string][]any{}
	s := p.on(p.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if read, ok := cmd.(*redis.SliceCmd); ok && cmd.Name() == "mget" {
			all[cmd.Args()[1].(string)] = read.Val()
		}
		return err
	}), p.clock)
	for i := range n {
		_, err := s.Validate(ctx, p.token(i), browser)
		must(p.t, err)
	}
	return all
}

func (p *population) benchmarkStatistics(b *testing.B) {
	r := rounds{}
	for b.Loop() {
		before, began := p.cpu(), time.Now()
		s, err := p.Statistics(ctx)
		r.add("ms", micros(time.Since(began))/1000)
		r.add("redis-ms", micros(p.cpu()-before)/1000)
		must(b, err)
		if s.Active < p.size {
			b.Fatalf("statistics tell %+v", s)
		}
		slowest := p.slowest(0)
		_, err = p.Statistics(ctx)
		must(b, err)
		r.add("max-command-µs", slowest())
	}
	r.report(b)
}

func (p *population) benchmarkIdleSweep(b *testing.B) {
	r := rounds{}
	for b.Loop() {
		slowest, before, began := p.slowest(100), p.cpu(), time.Now()
		p.sweep(p.Store)
		r.add("ms", micros(time.Since(began))/1000)
		r.add("redis-ms", micros(p.cpu()-before)/1000)
		r.add("max-command-µs", slowest())
	}
	r.report(b)
}

func (p *population) benchmarkSweep(b *testing.B) {
	r := rounds{}
	for b.Loop() {
		due := float64(p.expire())
		must(b, p.rdb.ConfigResetStat(ctx).Err())
		slowest, before, began := p.slowest(100), p.cpu(), time.Now()
		if done := p.sweep(p.Store); float64(done.Ended) != due {
			b.Fatalf("swept %+v, %v were due", done, due)
		}
		r.add("ended/s", due/time.Since(began).Seconds())
		r.add("redis-µs/ended", micros(p.cpu()-before)/due)
		r.add("µs/script", p.perScript())
		r.add("max-command-µs", slowest())
	}
	r.report(b)
}

// benchmarkFeltSweep tells what a validation feels of a sweep.
func (p *population) benchmarkFeltSweep(b *testing.B) {
	r := rounds{}
	sweeper := p.on(p.redis.NewProduct(b, patient), p.clock)
	for b.Loop() {
		p.expire()
		slowest := p.slowest(100)
		alone := p.validate(5000)
		end := make(chan error)
		var felt []time.Duration
		began := time.Now()
		go func() {
			ctx, cancel := context.WithTimeout(ctx, 55*time.Second) // as the function has it
			defer cancel()
			_, err := sweeper.Sweep(ctx)
			end <- err
		}()
		for done := false; !done; {
			select {
			case err := <-end:
				must(b, err)
				done = true
			default:
				felt = append(felt, p.validate(10)...)
			}
		}
		r.add("sweep-ms", micros(time.Since(began))/1000)
		for share, unit := range map[float64]string{0.5: "p50", 0.99: "p99", 0.999: "p99.9"} {
			r.add(unit+"-µs", micros(at(felt, share)))
			r.add(unit+"-alone-µs", micros(at(alone, share)))
			r.add(unit+"-ratio", float64(at(felt, share))/float64(at(alone, share)))
		}
		r.add("max-command-µs", slowest())
	}
	r.report(b)
}

// benchmarkFeltList measures what a validation feels while an admin lists all live accounts, page by page. Validations beside
// the list take turns with others in its pauses. A busy machine interrupts the server in any command, so that a round may
// have slow ones of each sender. A command of the list that is slow for what it does is slow in every round: same-over-2ms
// is how many are, and fewest-over-2ms how many of all senders were in the best round.
func (p *population) benchmarkFeltList(b *testing.B) {
	r := rounds{}
	const name = "list" // which the product may not give itself
	rdb := p.redis.NewClient(b, patient, func(o *redis.UniversalOptions) { o.ClientName = name })
	lister := p.on(rdb, p.clock)
	again := map[string]int{} // in how many rounds a command of the list took two milliseconds
	for b.Loop() {
		var turn sync.Mutex // the list's, while it reads a page
		slow, busy, began := p.slow(100), p.cpu(), time.Now()
		end := make(chan int)
		go func() { end <- p.listLive(lister, &turn) }()
		var alone, felt []time.Duration
		for listed := 0; listed == 0; {
			select {
			case listed = <-end:
				if listed < p.size {
					b.Fatalf("listed %d accounts of %d", listed, p.size)
				}
			default:
				turn.Lock()
				alone = append(alone, p.validate(100)...)
				turn.Unlock()
				felt = append(felt, p.validate(100)...)
			}
		}
		r.add("accounts/s", float64(p.size)/time.Since(began).Seconds())
		r.add("redis-µs/account", micros(p.cpu()-busy)/float64(p.size)) // with the validations
		for share, unit := range map[float64]string{0.5: "p50", 0.99: "p99"} {
			r.add(unit+"-µs", micros(at(felt, share)))
			r.add(unit+"-ratio", float64(at(felt, share))/float64(at(alone, share)))
		}
		own, others := bySender(slow(), name)
		for command := range overTwoMillis(own) {
			again[command]++
		}
		r.add("over-2ms", float64(len(overTwoMillis(own))+len(overTwoMillis(others))))
		r.add("max-list-command-µs", micros(longest(own)))
		r.add("max-validation-µs", micros(longest(others)))
	}
	r.report(b)
	b.ReportMetric(slices.Min(r["over-2ms"]), "fewest-over-2ms")
	same := 0
	for command, n := range again {
		if n == len(r["over-2ms"]) {
			b.Logf("slow in every round: %s", command)
			same++
		}
	}
	b.ReportMetric(float64(same), "same-over-2ms")
}

// bySender returns the commands of the client of that name, and those of others.
func bySender(entries []redis.SlowLog, name string) (own, others []redis.SlowLog) {
	for _, entry := range entries {
		if entry.ClientName == name {
			own = append(own, entry)
		} else {
			others = append(others, entry)
		}
	}
	return own, others
}

// longest is how long the slowest of these commands took; 0 for no commands.
func longest(entries []redis.SlowLog) (d time.Duration) {
	for _, entry := range entries {
		d = max(d, entry.Duration)
	}
	return d
}

// overTwoMillis returns the commands among these, with their arguments, that took two milliseconds.
func overTwoMillis(entries []redis.SlowLog) map[string]bool {
	commands := map[string]bool{}
	for _, entry := range entries {
		if entry.Duration >= 2*time.Millisecond {
			commands[strings.Join(entry.Args, " ")] = true
		}
	}
	return commands
}

// listLive returns how many accounts the pages of live ones have. It takes no CPU from validations, as a function on
// another machine does not.
func (p *population) listLive(s *session.Store, turn *sync.Mutex) (listed int) {
	background()
	for cursor := ""; ; {
		turn.Lock()
		page, next, err := s.List(ctx, session.ListQuery{Live: true}, cursor, 100)
		turn.Unlock()
		if err != nil {
			p.t.Error(err)
			return -1
		}
		if listed += len(page); next == "" {
			return listed
		}
		cursor = next
	}
}

// expire makes further sessions whose time is over already, -expired of them, and returns how many.
func (p *population) expire() int {
	due := *expired
	p.expired++
	late := p.on(p.product, p.clock.behind(p.opts.Idle))
	p.fill(late, due, func(n int) session.Login {
		return session.Login{Nonce: fmt.Sprint(p.expired, "expired", n), Account: token.KeyAccount(person(1e8*p.expired + n)), ChainID: 1, Client: browser}
	}, func(int, session.Grant) {})
	return due
}

var scripts = regexp.MustCompile(`(?m)^cmdstat_evalsha:.*usec_per_call=([0-9.]+)`)

// perScript is how long a script took, on the average since statistics were reset, in microseconds.
func (p *population) perScript() float64 {
	info, err := p.rdb.Info(ctx, "commandstats").Result()
	must(p.t, err)
	took, err := strconv.ParseFloat(scripts.FindStringSubmatch(info)[1], 64)
	must(p.t, err)
	return took
}

var usedCPU = regexp.MustCompile(`(?m)^used_cpu_(?:sys|user):([0-9.]+)`)

// cpu is the CPU time that the server has used.
func (p *population) cpu() time.Duration {
	info, err := p.rdb.Info(ctx, "cpu").Result()
	must(p.t, err)
	var all float64
	for _, found := range usedCPU.FindAllStringSubmatch(info, -1) {
		seconds, err := strconv.ParseFloat(found[1], 64)
		must(p.t, err)
		all += seconds
	}
	return time.Duration(all * float64(time.Second))
}

// slowest watches for commands that take the server longer than that many microseconds, and returns what tells how long
// the slowest took since; 0 where there was none.
func (p *population) slowest(than int) func() float64 {
	slow := p.slow(than)
	return func() float64 { return micros(longest(slow())) }
}

// slow watches for commands that take the server longer than that many microseconds, and returns what tells which ones
// did since.
func (p *population) slow(than int) func() []redis.SlowLog {
	admin := p.server.Client()
	set := func(name string, value int) { must(p.t, admin.ConfigSet(ctx, name, strconv.Itoa(value)).Err()) }
	set("slowlog-max-len", 100000)
	set("slowlog-log-slower-than", -1)
	must(p.t, admin.Do(ctx, "slowlog", "reset").Err())
	set("slowlog-log-slower-than", than)
	return func() []redis.SlowLog {
		set("slowlog-log-slower-than", -1)
		all, err := admin.SlowLogGet(ctx, -1).Result()
		must(p.t, err)
		return all
	}
}
