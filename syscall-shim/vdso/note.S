/* The note of a vDSO: which Linux it stands for (LINUX_VERSION_CODE of 6.1), as glibc's loader reads it. */
	.section .note.version, "a", @note
	.align 4
	.long 6, 4, 0
	.asciz "Linux"
	.align 4
	.long 0x060100
	.section .note.GNU-stack, "", @progbits
