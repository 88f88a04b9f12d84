# `setup.py bdist_rpm` runs this to install into the package.
# The package lists its byte code, so Python has to write it.
unset PYTHONDONTWRITEBYTECODE
# By default, Debian's Python installs below /usr/local.
library=$(/usr/bin/python3 -c '
import sysconfig
scheme = "deb_system" if "deb_system" in sysconfig.get_scheme_names() else "posix_prefix"
print(sysconfig.get_path("purelib", scheme, vars={"base": "/usr"}))')
/usr/bin/python3 setup.py install --root="$RPM_BUILD_ROOT" --record=INSTALLED_FILES \
    --install-lib "$library" --install-data /usr --install-scripts /usr/bin
sed -e 's|^/etc/recodex/monitor/config.yml$|%attr(0600, root, root) %config(noreplace) &|' -i INSTALLED_FILES
