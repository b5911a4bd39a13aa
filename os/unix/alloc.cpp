// The operators new and delete of the whole program. Their exception has nginx's message, with the
// requested size.

#include <array>
#include <cstdlib>
#include <new>

#include "core/string.hpp"

namespace ngx {

namespace {

class OutOfMemory : public std::bad_alloc {
public:
    explicit OutOfMemory(std::size_t size) noexcept
    {
        *slprintf(text_.data(), last(), "malloc({}) failed", size) = '\0';
    }

    OutOfMemory(std::size_t align, std::size_t size) noexcept
    {
        *slprintf(text_.data(), last(), "posix_memalign({}, {}) failed", align, size) = '\0';
    }

    const char* what() const noexcept override { return text_.data(); }

private:
    char* last() noexcept { return text_.data() + text_.size() - 1; }

    std::array<char, 64> text_{};
};

/// Retries as long as a new-handler can free memory.
template <typename Allocate, typename... Sizes>
void* allocate_or_throw(Allocate allocate, Sizes... sizes)
{
    for (;;) {
        if (void* const p = allocate()) {
            return p;
        }
        const std::new_handler handler = std::get_new_handler();
        if (!handler) {
            throw OutOfMemory(sizes...);
        }
        handler();
    }
}

}  // namespace

}  // namespace ngx

void* operator new(std::size_t size)
{
    // Every object needs its own address, even one of size 0.
    return ngx::allocate_or_throw([=] { return std::malloc(size == 0 ? 1 : size); }, size);
}

void* operator new(std::size_t size, std::align_val_t align)
{
    const auto alignment = static_cast<std::size_t>(align);
    const std::size_t whole = (size + alignment - 1) / alignment * alignment;
    // A size near the maximum overflows when it is rounded up.
    return ngx::allocate_or_throw(
        [=] {
            return whole < size ? nullptr
                                : std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
        },
        alignment, size);
}

void operator delete(void* p) noexcept
{
    std::free(p);
}

void operator delete(void* p, std::size_t) noexcept
{
    std::free(p);
}

void operator delete(void* p, std::align_val_t) noexcept
{
    std::free(p);
}

void operator delete(void* p, std::size_t, std::align_val_t) noexcept
{
    std::free(p);
}
