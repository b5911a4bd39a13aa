#pragma once

/// \file
/// ASAN_POISON_MEMORY_REGION() and ASAN_UNPOISON_MEMORY_REGION(), with which AddressSanitizer finds
/// an access to memory that the kernel has. Without its header they do nothing.

#if __has_include(<sanitizer/asan_interface.h>)
# include <sanitizer/asan_interface.h>
#else
# define ASAN_POISON_MEMORY_REGION(addr, size)   ((void)(addr), (void)(size))
# define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif
