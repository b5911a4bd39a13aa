#include "test/event/contract/allocations.hpp"

#if defined(__has_feature)
# if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
     __has_feature(memory_sanitizer)
#  define CONTRACT_SANITIZED
# endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
# define CONTRACT_SANITIZED
#endif

namespace ngx::contract {

namespace {

#ifdef CONTRACT_SANITIZED
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

thread_local bool counting = false;
thread_local std::size_t counted = 0;

}  // namespace

Allocations::Allocations() noexcept
{
    counted = 0;
    counting = true;
}

Allocations::~Allocations()
{
    counting = false;
}

std::size_t Allocations::count() const noexcept
{
    return counted;
}

bool Allocations::are_counted() noexcept
{
    return !sanitized;
}

}  // namespace ngx::contract

#ifndef CONTRACT_SANITIZED

// These functions replace the C library's, which has these other names for them. operator new calls
// malloc().
extern "C" {

void* __libc_malloc(std::size_t size);                    // NOLINT
void* __libc_calloc(std::size_t n, std::size_t size);     // NOLINT
void* __libc_realloc(void* memory, std::size_t size);     // NOLINT
void* __libc_memalign(std::size_t to, std::size_t size);  // NOLINT

void* malloc(std::size_t size) noexcept
{
    ngx::contract::counted += ngx::contract::counting;
    return __libc_malloc(size);
}

void* calloc(std::size_t n, std::size_t size) noexcept
{
    ngx::contract::counted += ngx::contract::counting;
    return __libc_calloc(n, size);
}

void* realloc(void* memory, std::size_t size) noexcept
{
    ngx::contract::counted += ngx::contract::counting;
    return __libc_realloc(memory, size);
}

void* aligned_alloc(std::size_t to, std::size_t size) noexcept
{
    ngx::contract::counted += ngx::contract::counting;
    return __libc_memalign(to, size);
}
}

#endif
