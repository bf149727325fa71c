/* The compiled benchmark programs as bytes (traffic.h). */
	.section .rodata
	.balign 8
	.globl wire_object, wire_object_end
wire_object:
	.incbin TRAFFIC_OBJECT
wire_object_end:
	.section .note.GNU-stack, "", @progbits
