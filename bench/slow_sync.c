/* A disk whose flushes take two milliseconds longer: LD_PRELOAD for a PostgreSQL server. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

#define DELAY_US 2000

static int slowly(const char *name, int descriptor)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

	usleep(DELAY_US);
	return real(descriptor);
}

int fdatasync(int descriptor)
{
	return slowly("fdatasync", descriptor);
}

int fsync(int descriptor)
{
	return slowly("fsync", descriptor);
}
