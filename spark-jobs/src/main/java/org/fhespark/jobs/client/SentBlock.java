package org.fhespark.jobs.client;

import org.fhespark.udf.EncryptedBlock;

/** A block as it is sent, and what decrypting its result will need. */
record SentBlock(SentRows rows, EncryptedBlock block) {}
