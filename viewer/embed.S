/* viewer/embed.S: the built app as read-only data, between two labels that html.cc reads it by. */
    .section .rodata
    .global camprobe_viewer_html_begin
    .global camprobe_viewer_html_end
camprobe_viewer_html_begin:
    .incbin CAMPROBE_VIEWER_HTML
camprobe_viewer_html_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
