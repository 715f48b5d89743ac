package org.fhespark.compiler.parameters;

/**
 * Nanoseconds that something takes.
 *
 * @param server on one core of an executor
 * @param client on one core of the client, encryption and decryption
 * @param wire both ways
 */
public record Cost(double server, double client, double wire) {

  /**
   * What is compared: a nanosecond of a server's core, of a client's core and of the wire count
   * alike.
   */
  public double total() {
    return server + client + wire;
  }

  /** The share of each of so many records. */
  public Cost perRecord(int records) {
    return new Cost(server / records, client / records, wire / records);
  }

  /** So many times as much. */
  public Cost times(double factor) {
    return new Cost(server * factor, client * factor, wire * factor);
  }

  /** Where it most exceeds another: "server", "client" or "wire". */
  public String mostAbove(Cost other) {
    double ofServer = server - other.server;
    double ofClient = client - other.client;
    double ofWire = wire - other.wire;
    if (ofServer >= ofClient && ofServer >= ofWire) {
      return "server";
    }
    return ofClient >= ofWire ? "client" : "wire";
  }
}
