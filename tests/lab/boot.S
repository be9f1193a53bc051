# A guest of 512 bytes. Once a second it reads a counter from a fixed block of the disk that it was
# booted from, adds one, writes it back and prints "LAB-SEQ " and eight hexadecimal digits on COM1.
# So a guest's serial output shows whether it went on or started anew, and its disk how far it came.
# Without a readable disk it counts on in memory; without a writable one the disk stays as it is.
# A byte that arrives on COM1 is sent back in square brackets, for tests of consoles.
#
# Assembled with: as --32; ld -m elf_i386 -Ttext 0x7c00 --oformat binary

        .code16
        .globl  _start

        .set    COM1, 0x3f8
        .set    LINE_STATUS, 0x3fd
        .set    TICKS, 0x046c           # BIOS data area: ticks since midnight, 18.2 a second
        .set    TICKS_PER_SECOND, 18
        .set    BLOCK, 0x7e00           # buffer, right after this sector
        .set    SECTOR, 9               # cylinder 0, head 0, sector 9: byte 4096 of the disk

_start:
        ljmp    $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    %dl, drive
        sti
        cld

second:
        movb    $0x02, %ah              # read; into a buffer of its own, as a failure may spoil it
        call    disk
        jc      1f
        movl    BLOCK, %eax
        movl    %eax, counter
1:      incl    counter
        movl    counter, %eax
        movl    %eax, BLOCK
        movb    $0x03, %ah              # write
        call    disk

        movw    $text, %si
        call    print
        movl    counter, %ebx
        movw    $8, %cx
digit:  roll    $4, %ebx
        movb    %bl, %al
        andb    $0x0f, %al
        cmpb    $10, %al
        jb      1f
        addb    $('a' - '0' - 10), %al
1:      addb    $'0', %al
        call    put
        loop    digit
        movw    $newline, %si
        call    print

        movl    TICKS, %edi
wait:   hlt
        call    echo
        movl    TICKS, %eax
        subl    %edi, %eax              # negative at midnight, which unsigned ends the wait
        cmpl    $TICKS_PER_SECOND, %eax
        jb      wait
        jmp     second

# AH: 2 reads, 3 writes the block at BLOCK. Carry is set on failure.
disk:   movb    $1, %al
        movw    $SECTOR, %cx
        xorb    %dh, %dh
        movb    drive, %dl
        movw    $BLOCK, %bx
        int     $0x13
        ret

# Sends back what has arrived on COM1.
echo:   movw    $LINE_STATUS, %dx
        inb     %dx, %al
        testb   $0x01, %al
        jz      1f
        movw    $COM1, %dx
        inb     %dx, %al
        movb    %al, received
        movw    $answer, %si
        call    print
1:      ret

# Prints the text at SI, which ends with a zero byte.
print:  lodsb
        testb   %al, %al
        jz      1f
        call    put
        jmp     print
1:      ret

# Prints AL when the transmitter is ready.
put:    pushw   %ax
        movw    $LINE_STATUS, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        popw    %ax
        movw    $COM1, %dx
        outb    %al, %dx
        ret

text:   .asciz  "LAB-SEQ "
newline:
        .asciz  "\r\n"
answer: .ascii  "["
received:
        .ascii  "?"
        .asciz  "]\r\n"
drive:  .byte   0
counter:
        .long   0

        .org    510
        .word   0xaa55
