// probe/vfork.S
//
// vfork(). The child runs in its parent's memory and on its parent's stack while the parent waits; it returns from here
// first and, going on, overwrites the stack where our return address stood. So the address is kept in thread-local
// storage (the child has the parent's), and the thread points away from the region until the parent runs again:
// whatever the child does is not recorded, and nothing of it is written.
#if defined(__x86_64__)
        .text
        .globl  vfork
        .type   vfork, @function
        .p2align 4
vfork:
        .cfi_startproc
        endbr64
        movq    (%rsp), %rdi
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    camprobe_vfork_begin     // keeps the return address; gives the real vfork, or 0: nested too deep
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        testq   %rax, %rax
        jz      camprobe_vfork_as_fork
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        .cfi_undefined rip
        call    *%rax                    // returns twice
        testl   %eax, %eax
        jz      1f
        pushq   %rax
        .cfi_adjust_cfa_offset 8
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movl    %eax, %edi
        call    camprobe_vfork_end       // the parent, or a failure; errno is kept
        movq    %rax, %rcx
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %rax
        .cfi_adjust_cfa_offset -8
        jmp     *%rcx
1:      call    camprobe_vfork_child
        movq    %rax, %rcx
        xorl    %eax, %eax
        jmp     *%rcx
        .cfi_endproc
        .size   vfork, .-vfork
#elif defined(__aarch64__)
        .text
        .globl  vfork
        .type   vfork, %function
        .p2align 4
vfork:
        .cfi_startproc
        mov     x0, x30
        stp     x29, x30, [sp, -16]!
        bl      camprobe_vfork_begin
        ldp     x29, x30, [sp], 16
        cbz     x0, camprobe_vfork_as_fork
        .cfi_undefined x30
        blr     x0
        cbz     w0, 1f
        stp     x29, x0, [sp, -16]!
        bl      camprobe_vfork_end
        mov     x30, x0
        ldp     x29, x0, [sp], 16
        ret
1:      bl      camprobe_vfork_child
        mov     x30, x0
        mov     w0, wzr
        ret
        .cfi_endproc
        .size   vfork, .-vfork
#endif
        .section .note.GNU-stack, "", %progbits
