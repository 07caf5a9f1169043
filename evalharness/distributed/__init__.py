"""The same run on several processes or machines: Ray carries it, a coordinator shares limits."""
