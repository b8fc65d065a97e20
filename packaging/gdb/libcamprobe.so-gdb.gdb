# Run by gdb itself when it finds libcamprobe.so in a process: each tick of the probe's CPU timer is a signal, and a
# debugger that is attached to a program at work would stop at every one of them.
handle SIG64 nostop noprint pass
