#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

int next_slot(const int* closed, int closed_n, int never_used)
{
    return closed_n == 0 ? never_used : closed[closed_n - 1];
}

bool instance_of_use(int use)
{
    return use % 2 == 0;
}

}  // namespace ngx::exercise
