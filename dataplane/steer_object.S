/* The compiled XDP program as bytes in our own binary (steer.h). STEER_OBJECT is the file, given by meson. */
	.section .rodata
	.balign 8
	.globl sn_steer_object, sn_steer_object_end
sn_steer_object:
	.incbin STEER_OBJECT
sn_steer_object_end:
	.size sn_steer_object, . - sn_steer_object
	.section .note.GNU-stack, "", @progbits
