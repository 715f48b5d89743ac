package org.fhespark.connect;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.fhespark.InvalidInputException;

/**
 * Loads Spark's Connect client, which has its own {@code org.apache.spark.sql.SparkSession}, in a
 * JVM that has the classic one: what is in the client's jar comes from there, and our classes that
 * use it are defined beside it; all others are those of the class path.
 */
final class IsolatedLoader extends URLClassLoader {
  private static final String CLIENT_PACKAGE = "org.fhespark.connect.client.";
  private static final String SESSION = CLIENT_PACKAGE + "ConnectSession";

  private static final Map<Path, IsolatedLoader> LOADERS = new HashMap<>();

  static {
    registerAsParallelCapable();
  }

  private IsolatedLoader(URL library) {
    super(new URL[] {library}, IsolatedLoader.class.getClassLoader());
  }

  /** The loader of a jar, made once. */
  static IsolatedLoader of(Path library) {
    synchronized (LOADERS) {
      return LOADERS.computeIfAbsent(library.toAbsolutePath(), IsolatedLoader::make);
    }
  }

  private static IsolatedLoader make(Path library) {
    try {
      return new IsolatedLoader(library.toUri().toURL());
    } catch (MalformedURLException error) {
      throw new InvalidInputException(library + ": is no path to a jar", error);
    }
  }

  /** See {@link RemoteSession#open}. */
  RemoteSession open(String url, String token) {
    try {
      return (RemoteSession)
          loadClass(SESSION).getConstructor(String.class, String.class).newInstance(url, token);
    } catch (InvocationTargetException error) {
      if (error.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException("the Connect client does not start", error.getCause());
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException("the Connect client cannot be loaded", error);
    }
  }

  @Override
  protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
    synchronized (getClassLoadingLock(name)) {
      Class<?> loaded = findLoadedClass(name);
      if (loaded != null) {
        return loaded;
      }
      String file = name.replace('.', '/') + ".class";
      if (name.startsWith(CLIENT_PACKAGE)) {
        return define(name, file);
      }
      return findResource(file) != null ? findClass(name) : super.loadClass(name, resolve);
    }
  }

  private Class<?> define(String name, String file) throws ClassNotFoundException {
    try (InputStream in = getParent().getResourceAsStream(file)) {
      if (in == null) {
        throw new ClassNotFoundException(name);
      }
      byte[] bytes = in.readAllBytes();
      return defineClass(name, bytes, 0, bytes.length);
    } catch (IOException error) {
      throw new ClassNotFoundException(name, error);
    }
  }
}
