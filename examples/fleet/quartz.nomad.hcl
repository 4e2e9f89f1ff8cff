# A job for Nomad's qemu driver (1.3.2 or later): three guests, replaced one after the other.
#
#   nomad job run -var base=https://files.example.org/quartz quartz.nomad.hcl
#
# `base` is where the kernel and the site's image (`quartz pack`) are fetched from. The driver starts
# QEMU by itself: the words below turn its machine into a microvm, which its own `port_map`, made for
# machines with PCI, cannot serve. It stops a guest by a signal to QEMU, which does not drain: hence
# shutdown_delay, in which nobody sends requests any more.

variable "base" {
  type = string
}

job "quartz" {
  datacenters = ["*"]

  group "www" {
    count = 3

    update {
      max_parallel     = 1
      health_check     = "checks"
      min_healthy_time = "5s"
      healthy_deadline = "1m"
      auto_revert      = true
    }

    restart {
      attempts = 5
      interval = "2m"
      delay    = "1s"
      mode     = "fail"
    }

    network {
      port "http" {}
    }

    # From leaving the service's catalogue to the signal: longer than a load balancer takes to notice,
    # and than an answer takes.
    shutdown_delay = "10s"

    service {
      name     = "quartz"
      port     = "http"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/healthz"
        interval = "2s"
        timeout  = "1s"

        check_restart {
          limit = 3
          grace = "30s"
        }
      }
    }

    task "guest" {
      driver = "qemu"

      artifact {
        source      = "${var.base}/quartz-unikernel.elf"
        destination = "local"
      }

      artifact {
        source      = "${var.base}/site.tar"
        destination = "local"
      }

      config {
        # The driver wants a drive; with no interface the guest does not see it.
        image_path      = "local/site.tar"
        drive_interface = "none"
        accelerator     = "kvm"
        args = [
          "-machine", "microvm",
          "-nodefaults",
          "-no-user-config",
          "-no-reboot",
          "-serial", "stdio",
          "-kernel", "local/quartz-unikernel.elf",
          "-initrd", "local/site.tar",
          "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
          "-netdev", "user,id=n0,restrict=on,hostfwd=tcp:${NOMAD_IP_http}:${NOMAD_PORT_http}-:80",
          "-device", "virtio-net-device,netdev=n0",
        ]
      }

      resources {
        cpu = 500
        # The driver's least.
        memory = 128
      }
    }
  }
}
