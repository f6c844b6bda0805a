package session_test

import (
	"runtime"
	"syscall"
	"unsafe"
)

// background has the calling goroutine run only while a CPU has nothing else to do (SCHED_IDLE), as if it were on another
// machine. It takes a thread for itself, which ends with it.
func background() {
	const schedIdle = 5
	runtime.LockOSThread()
	var priority int32
	_, _, _ = syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedIdle, uintptr(unsafe.Pointer(&priority)))
}
