#include "core/palloc.hpp"

#include <algorithm>
#include <cassert>

#include <boost/intrusive/slist.hpp>

namespace ngx {

namespace {

/// A released block that the next connection can use. The hook is stored in the block itself.
struct FreeBlock : boost::intrusive::slist_base_hook<> {};

boost::intrusive::slist<FreeBlock, boost::intrusive::constant_time_size<false>> free_blocks;

/// Stores the size of a block, which is needed when it is freed.
struct BlockHeader {
    std::size_t size;
};

constexpr std::size_t header_size = (sizeof(BlockHeader) + alignof(std::max_align_t) - 1) /
                                    alignof(std::max_align_t) * alignof(std::max_align_t);

void* take_block(std::size_t size)
{
    if (!have_asan && size == connection_pool_size && !free_blocks.empty()) {
        FreeBlock& block = free_blocks.front();
        free_blocks.pop_front();
        return &block;
    }
    return ::operator new(size);
}

void give_block(void* block, std::size_t size) noexcept
{
    if (!have_asan && size == connection_pool_size) {
        free_blocks.push_front(*::new (block) FreeBlock);
        return;
    }
    ::operator delete(block);
}

}  // namespace

Pool::~Pool()
{
    for (CleanupLink* link = cleanups_; link; link = link->next) {
        link->handler(link->data);
    }
}

std::string_view Pool::pstrdup(std::string_view text)
{
    char* copy = static_cast<char*>(palloc(text.size() + 1, 1));
    std::ranges::copy(text, copy);  // an empty view may have a null pointer
    copy[text.size()] = '\0';
    return {copy, text.size()};
}

void Pool::cleanup_add(Cleanup handler, void* data)
{
    assert(handler);
    cleanups_ = create<CleanupLink>(handler, data, cleanups_);
}

Pool* create_pool(std::size_t size, Log* log)
{
    assert(size > header_size + sizeof(Pool));
    static_assert(connection_pool_size > header_size + sizeof(Pool));

    char* block = static_cast<char*>(take_block(size));
    ::new (block) BlockHeader{size};
    char* first = block + header_size + sizeof(Pool);
    return ::new (block + header_size) Pool(first, size - header_size - sizeof(Pool), log);
}

void destroy_pool(Pool* pool) noexcept
{
    void* block = reinterpret_cast<char*>(pool) - header_size;
    const std::size_t size = static_cast<BlockHeader*>(block)->size;
    assert(size > header_size + sizeof(Pool));
    pool->~Pool();
    give_block(block, size);
}

}  // namespace ngx
