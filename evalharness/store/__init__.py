"""Where results live: a journal for what is fresh, Parquet parts for what is sealed.

``folder`` owns the run folder, ``lock`` keeps others out, ``journal`` makes every attempt durable,
``seal`` turns journal rows into Parquet parts, ``run`` reads it all back, ``verify`` checks it.
"""
